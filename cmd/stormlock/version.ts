/** The version in package.json: a test holds them together, so that nothing need be read. */
export const VERSION = "0.1.0";
