/** By this first argument the single file knows that it is to be a guardian. */
export const GUARDIAN = "--be-the-guardian";
