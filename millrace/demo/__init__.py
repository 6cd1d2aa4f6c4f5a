"""The demo: real grocery purchases as events, and an independent recomputation."""
