/**
 * What is wrong with the names of options, as a clause: a misspelt option must not be ignored. Undefined if each exists.
 * @param known every option there is.
 */
export function unknownOption(given: object, known: readonly string[]): string | undefined {
  const name = Object.keys(given).find((each) => !known.includes(each));
  return name === undefined ? undefined : `option '${name}' does not exist (have: ${known.join(', ')})`;
}
