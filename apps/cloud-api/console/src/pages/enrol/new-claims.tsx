import { type NewClaim } from '../../types.js';
import { Copy } from '../../ui/copy.js';
import { QrCode } from '../../ui/qr-code.js';
import { csvOf } from './csv.js';

/** Codes of a batch that are drawn as QR codes; all are in the file. */
const MAX_DRAWN = 20;
const ANY = 'any new device';

interface Props {
  readonly newest: readonly NewClaim[];
  /** Which nobody has said to have kept. */
  readonly before: readonly NewClaim[];
  readonly onClose: () => void;
}

/** The codes that were just made: they are shown this one time. */
export function NewClaims({ newest, before, onClose }: Props) {
  const csv = csvFor([...newest, ...before]);
  return (
    <section class="card" aria-labelledby="new-claims">
      <h2 id="new-claims">Keep these codes now: they are shown only once</h2>
      <p class="row">
        <button type="button" class="primary" onClick={() => download(csv)}>
          Save as CSV
        </button>
        <Copy text={csv} />
        <button type="button" onClick={onClose}>
          I have kept them
        </button>
      </p>
      <ul class="codes">
        {newest.slice(0, MAX_DRAWN).map(({ id, code, deviceId }) => (
          <li key={id}>
            <QrCode text={code} label={`The code for ${deviceId ?? ANY}, as a QR code`} />
            <span>{deviceId ?? ANY}</span>
            <code>{code}</code>
          </li>
        ))}
      </ul>
      {newest.length > MAX_DRAWN && (
        <p class="quiet">And {newest.length - MAX_DRAWN} more: save them as CSV.</p>
      )}
      {before.length > 0 && (
        <details>
          <summary>{before.length} made before</summary>
          <pre>{csvFor(before)}</pre>
        </details>
      )}
    </section>
  );
}

function csvFor(claims: readonly NewClaim[]): string {
  const rows = claims.map(({ deviceId, code, expiresAt }) => [deviceId ?? '', code, expiresAt]);
  return csvOf([['device', 'code', 'expires'], ...rows]);
}

function download(csv: string): void {
  const url = URL.createObjectURL(new Blob([csv], { type: 'text/csv' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = 'claims.csv';
  link.click();
  URL.revokeObjectURL(url);
}
