// One counter for each branch of the code under test. The whole cloud half has about 2,500.
export const counters = new Uint32Array(16_384);
