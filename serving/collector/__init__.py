"""Collector: takes events over HTTP and acknowledges them once they are in Kafka."""
