/** The version of the workspace, which a test compares: a bundle has no package.json beside it to read. */
export const VERSION = '0.1.0';

/**
 * About when this version was made. A clock that shows an earlier time is wrong, as that of a device without a battery
 * is.
 */
export const RELEASED = new Date('2026-11-01T00:00:00Z');
