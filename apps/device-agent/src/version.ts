/** The version of the workspace, which a test compares: a bundle has no package.json beside it to read. */
export const VERSION = '0.1.0';
