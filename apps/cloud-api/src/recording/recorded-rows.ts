/** What is recorded, by the table it is written to. */
export interface RecordedRows {
  readonly devices: DeviceRow;
  readonly connections: ConnectionRow;
  readonly messages: MessageRow;
  readonly readings: ReadingRow;
}

export type RecordedTable = keyof RecordedRows;

/** In the order in which they are written. */
export const RECORDED_TABLES: readonly RecordedTable[] = ['devices', 'connections', 'messages', 'readings'];

/** The state of a device at this node. */
export interface DeviceRow {
  readonly id: string;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  readonly isOnline: boolean;
  /** Since when it is online or offline. */
  readonly since: Date;
  /** When its newest connection to this node began. */
  readonly cameAt: Date;
  /** Why it is offline. */
  readonly cause: string | null;
  readonly address: string;
  /** Null: as before. */
  readonly agentVersion: string | null;
  /** JSON. Null: as before. */
  readonly hello: string | null;
}

/** A connection to this node. */
export interface ConnectionRow {
  readonly deviceId: string;
  readonly cameAt: Date;
  readonly address: string;
  /** Null while it is open, as the next two. */
  readonly wentAt: Date | null;
  readonly cause: string | null;
  readonly code: number | null;
}

export interface MessageRow {
  readonly deviceId: string;
  readonly at: Date;
  readonly direction: 'up' | 'down';
  readonly event: string | null;
  /** JSON. */
  readonly body: string;
}

export interface ReadingRow {
  readonly deviceId: string;
  readonly metric: string;
  readonly at: Date;
  readonly value: number;
}

/** Both rows in one, for a device that waits to be written already. */
export function mergeDevices(older: DeviceRow, newer: DeviceRow): DeviceRow {
  return {
    ...newer,
    firstSeenAt: older.firstSeenAt,
    agentVersion: newer.agentVersion ?? older.agentVersion,
    hello: newer.hello ?? older.hello,
  };
}
