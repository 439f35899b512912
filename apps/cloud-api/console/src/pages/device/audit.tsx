import { query } from '../../api.js';
import { AuditTable } from '../../ui/audit-table.js';

/** What was done to the device, and by whom. */
export function DeviceAudit({ id }: { readonly id: string }) {
  return <AuditTable path={`audit${query({ target: id })}`} isFiltered={false} />;
}
