/** One part of systeminformation, which does without loading all of it, which takes 10 MB more. */
declare module 'systeminformation/lib/memory.js' {
  import { type Systeminformation } from 'systeminformation';

  export function mem(): Promise<Systeminformation.MemData>;
}
