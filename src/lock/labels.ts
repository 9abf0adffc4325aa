/** Labels as a store keeps them. @throws TypeError when they are not of texts, SyntaxError when no JSON */
export function labelsIn(json: string): Readonly<Record<string, string>> {
  return labelsOf(JSON.parse(json));
}

/** @throws TypeError when these are no labels */
export function labelsOf(given: unknown): Readonly<Record<string, string>> {
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
  if (!isObject || !Object.values(given).every((value) => typeof value === "string")) {
    throw new TypeError("its labels are none");
  }
  return given as Record<string, string>;
}
