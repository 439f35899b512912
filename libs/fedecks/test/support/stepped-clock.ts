/**
 * Sets the wall clock of this process: `Date` continues from there. `performance.now()` and timers are left
 * alone, as when the clock of a machine is set. Only for separate processes: see `fleet.ts`.
 */
const RealDate = Date;
let offsetMs = 0;

const SteppedDate = new Proxy(RealDate, {
  construct(target, args, newTarget) {
    const given: unknown[] = args.length === 0 ? [SteppedDate.now()] : args;
    return Reflect.construct(target, given, newTarget) as Date;
  },
  apply: () => new SteppedDate().toString(),
  get: (target, key, receiver) =>
    key === 'now' ? () => target.now() + offsetMs : (Reflect.get(target, key, receiver) as unknown),
});
globalThis.Date = SteppedDate;

/** Sets the offset of the clock in milliseconds; negative if it is behind. */
export function setClock(aheadMs: number): void {
  offsetMs = aheadMs;
}
