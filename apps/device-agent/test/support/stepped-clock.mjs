// Preloaded into an agent, makes its clock show 1970 until SIGWINCH sets it; most other signals make Nest exit. Only
// `Date` changes, as when the clock of a machine is set.
const RealDate = Date;
let offsetMs = -RealDate.now();
process.on('SIGWINCH', () => (offsetMs = 0));
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + offsetMs] : args));
  }
  static now() {
    return RealDate.now() + offsetMs;
  }
};
