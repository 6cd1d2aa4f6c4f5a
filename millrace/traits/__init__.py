"""Traits of an entity: how they are declared, folded from events, merged and finished."""
