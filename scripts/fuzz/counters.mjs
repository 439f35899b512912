// One counter per branch of the code under test. The server half has about 2,500 branches.
export const counters = new Uint32Array(16_384);
