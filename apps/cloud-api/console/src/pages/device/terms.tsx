/** What JSON has no word for, as it is written in the editor. */
const EXAMPLES = [
  ['Tuple', '{ "$tuple": ["hello", 1] }'],
  ['Atom', '{ "$atom": "ok" }'],
  ['Bytes, as Base64', '{ "$bytes": "AQID" }'],
  ['Integer of any size', '{ "$integer": "18446744073709551616" }'],
  ['Float without a fraction', '{ "$float": 1 }'],
  ['Date and time', '{ "$date": "2026-01-31T12:00:00Z" }'],
  ['Map with any keys', '{ "$map": [[1, "one"], [{ "$atom": "two" }, 2]] }'],
] as const;

/** Help for whoever writes a term. */
export function Terms() {
  return (
    <details>
      <summary>What JSON cannot say</summary>
      <p>
        JSON is sent as it is: text, numbers, true, false, null, lists, and objects, which are maps. An object
        with only one of these fields is something else, wherever it stands:
      </p>
      <dl>
        {EXAMPLES.map(([name, text]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>
              <code>{text}</code>
            </dd>
          </div>
        ))}
      </dl>
    </details>
  );
}
