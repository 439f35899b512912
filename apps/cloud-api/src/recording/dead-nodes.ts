import { type RawBuilder, sql } from 'kysely';
import { type Database } from '../database/database.js';

/** How many rows one statement changes. */
const STEP = 1_000;

/** Ends the connections of nodes that were not seen for so long. @returns how many. */
export function closeConnectionsOfDeadNodes(
  database: Database,
  ownId: string,
  deadAfterMs: number,
): Promise<number> {
  return inSteps(
    database,
    sql`
      UPDATE connections SET went_at = greatest(came_at, dead.seen_at), cause = 'node_lost'
      FROM (
        SELECT c.id, n.seen_at FROM connections c JOIN nodes n ON n.id = c.node_id
        WHERE c.went_at IS NULL AND ${isDead(ownId, deadAfterMs)}
        LIMIT ${STEP}
      ) AS dead
      WHERE connections.id = dead.id AND connections.went_at IS NULL`,
  );
}

/** Marks the devices of such nodes as offline. @returns how many. */
export function endDevicesOfDeadNodes(
  database: Database,
  ownId: string,
  deadAfterMs: number,
): Promise<number> {
  return inSteps(
    database,
    sql`
      UPDATE devices d SET online = false, state_since = greatest(d.state_since, dead.seen_at), offline_cause = 'node_lost'
      FROM (
        SELECT d.id, d.node_id, n.seen_at FROM devices d JOIN nodes n ON n.id = d.node_id
        WHERE d.online AND ${isDead(ownId, deadAfterMs)}
        LIMIT ${STEP}
      ) AS dead
      WHERE d.id = dead.id AND d.node_id = dead.node_id AND d.online`,
  );
}

function isDead(ownId: string, deadAfterMs: number): RawBuilder<unknown> {
  return sql`n.id <> ${ownId}::uuid AND n.seen_at < now() - ${deadAfterMs} * interval '1 millisecond'`;
}

async function inSteps(database: Database, statement: RawBuilder<unknown>): Promise<number> {
  let count = 0;
  for (;;) {
    const { numAffectedRows = 0n } = await statement.execute(database);
    count += Number(numAffectedRows);
    if (numAffectedRows === 0n) return count;
  }
}
