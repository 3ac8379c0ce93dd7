// Holds the precompiled header for every other target (REUSE_FROM); has no code.
