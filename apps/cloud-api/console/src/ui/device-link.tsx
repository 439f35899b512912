import { type ComponentChildren } from 'preact';
import { Link } from 'wouter-preact';

interface Props {
  readonly id: string;
  readonly class?: string;
  /** Instead of its id. */
  readonly children?: ComponentChildren;
}

/** Leads to a device. */
export function DeviceLink({ id, class: name, children = id }: Props) {
  return (
    <Link href={`/devices/${encodeURIComponent(id)}`} class={name}>
      {children}
    </Link>
  );
}
