//! World: seeded time, network, disk and faults around the production code.
