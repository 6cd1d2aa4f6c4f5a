// Sends one story with a stock client of Node.js: node send.mjs CLIENT HOST KEY USER. Prints one JSON line when the client says that all is sent.
const [client, host, key, user] = process.argv.slice(2);
const timestamp = new Date('2026-03-01T10:00:00.123Z');
const traits = { plan: 'pro', email: `${user}@shop.example` };
const order = { order_id: 'o-1', revenue: 12.5, products: [{ sku: 's-1' }] };
const schema = (name) => `iglu:com.acme/${name}/jsonschema/1-0-0`;

const clients = {
  async segment() {
    const { Analytics } = await import('@segment/analytics-node');
    const analytics = new Analytics({ writeKey: key, host, maxRetries: 20 });
    tell(analytics);
    await analytics.closeAndFlush({ timeout: 60000 });
  },
  async rudderstack() {
    const { default: Rudder } = await import('@rudderstack/rudder-sdk-node');
    const analytics = new Rudder(key, { dataPlaneUrl: host, retryCount: 20 });
    tell(analytics);
    await new Promise((done) => analytics.flush(done));
  },
  async snowplow() {
    const { newTracker, buildPageView, buildSelfDescribingEvent, buildStructEvent } = await import('@snowplow/node-tracker');
    for (const eventMethod of ['post', 'get']) {
      let left = 3;
      let again;
      await new Promise((done) => {
        const onRequestSuccess = (events) => (left -= events.length) || done();
        const tracker = newTracker({ namespace: eventMethod, appId: key, encodeBase64: eventMethod === 'post' }, { endpoint: host, eventMethod, bufferSize: 3, onRequestSuccess });
        tracker.setUserId(user);
        tracker.track(buildPageView({ pageUrl: 'https://shop.example/a', pageTitle: 'A' }), [{ schema: schema('plan'), data: { plan: 'pro' } }]);
        tracker.track(buildSelfDescribingEvent({ event: { schema: schema('order_completed'), data: order } }), [], { type: 'ttm', value: timestamp.getTime() });
        tracker.track(buildStructEvent({ category: 'shop', action: 'add', label: 'l', value: 2.5 }));
        tracker.flush();
        // it sends again what was refused at the next event or flush, as a server that goes on has them
        again = setInterval(() => tracker.flush(), 500);
      });
      clearInterval(again);
    }
  },
};

function tell(analytics) {
  analytics.identify({ userId: user, traits, timestamp });
  analytics.track({ userId: user, event: 'Order Completed', properties: order, timestamp });
  analytics.page({ userId: user, name: 'Home', properties: { path: '/' }, timestamp });
  analytics.screen({ userId: user, name: 'Main', timestamp });
  analytics.group({ userId: user, groupId: 'g-1', traits: { name: 'G' }, timestamp });
  analytics.alias({ userId: user, previousId: `${user}-old`, timestamp });
}

await clients[client]();
console.log(JSON.stringify({ sent: client }));
process.exit(0);
