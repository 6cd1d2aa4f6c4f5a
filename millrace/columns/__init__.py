"""Rules as Spark columns and transforms, shared by both layers: parsing, standardising, identity, states. Pure: no session, I/O, clock or action."""
