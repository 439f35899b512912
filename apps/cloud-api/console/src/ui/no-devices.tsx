import { Link } from 'wouter-preact';
import { mayDo } from '../roles.js';
import { Empty } from './empty.js';

/** Stands where devices would be. */
export function NoDevices() {
  return (
    <Empty title="There is no device yet">
      {mayDo('operator') ? (
        <>
          <Link href="/enrol">Enrol the first one</Link>: you get a code with which it logs in.
        </>
      ) : (
        'An operator enrols the first one.'
      )}
    </Empty>
  );
}
