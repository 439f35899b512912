import { type DeviceQueue } from '@fedecks/nest';
import { type ColumnType, type Generated, type GeneratedAlways } from 'kysely';

/** JSON, read as it is and written as text. */
type Json<Read> = ColumnType<Read, string, string>;

/** The tables, as the migrations leave them. */
export interface Tables {
  operators: OperatorsTable;
  sessions: SessionsTable;
  setup_links: SetupLinksTable;
  api_keys: ApiKeysTable;
  claims: ClaimsTable;
  audit: AuditTable;
  nodes: NodesTable;
  devices: DevicesTable;
  connections: ConnectionsTable;
  messages: MessagesTable;
  readings: ReadingsTable;
  readings_by_minute: SummariesTable;
  readings_by_hour: SummariesTable;
  late_readings: LateReadingsTable;
  upkeep: UpkeepTable;
  revocations: RevocationsTable;
  delivery_claims: DeliveryClaimsTable;
  delivery_queues: DeliveryQueuesTable;
  delivery_messages: DeliveryMessagesTable;
}

/** What an operator or an API key may do: each role may do what those before may. */
export type Role = 'viewer' | 'operator' | 'admin';

/** People who log in. */
export interface OperatorsTable {
  /** A UUID. */
  id: string;
  name: string;
  /** Argon2id, in PHC format. */
  password_hash: string;
  role: Role;
  created_at: Generated<Date>;
}

/** Operators who are logged in. */
export interface SessionsTable {
  /** SHA-256 of what is in the cookie. */
  token_hash: Uint8Array;
  operator_id: string;
  created_at: Generated<Date>;
  expires_at: Date;
}

/** The link of the first start, with which the first admin is made. */
export interface SetupLinksTable {
  /** SHA-256 of the code in the link. */
  code_hash: Uint8Array;
  expires_at: Date;
}

export interface ApiKeysTable {
  /** A UUID. */
  id: string;
  name: string;
  /** SHA-256 of the key: it is random, so that a slow hash would protect nothing. */
  key_hash: Uint8Array;
  role: Role;
  created_by: string;
  created_at: Generated<Date>;
  expires_at: Date | null;
  last_used_at: Date | null;
}

/** Codes with which devices log in for the first time. */
export interface ClaimsTable {
  /** A UUID. */
  id: string;
  /** SHA-256 of the code. */
  code_hash: Uint8Array;
  /** The only device that may use it; null: any that is not known yet. */
  device_id: string | null;
  /** Given to the device that uses it. */
  tags: string[];
  created_by: string;
  created_at: Generated<Date>;
  expires_at: Date;
  /** The first time. */
  used_at: Date | null;
  used_by: string | null;
  /** When the cloud knew that the device has its token; until then the device may use the claim again, for a while. */
  confirmed_at: Date | null;
}

/** Who did what. */
export interface AuditTable {
  id: GeneratedAlways<number>;
  at: Generated<Date>;
  /** The name of an operator or an API key. */
  actor: string;
  actor_kind: string;
  address: string;
  /** As `device.block`. */
  action: string;
  /** What it was done to: a device id, for example. */
  target: string | null;
  details: Json<object | null> | null;
  /** The HTTP status of the answer. */
  status: number;
}

/** The processes that serve the fleet. */
export interface NodesTable {
  /** A UUID for each start of a process. */
  id: string;
  host: string;
  started_at: Generated<Date>;
  /** Written every few seconds: a node that does not is dead. */
  seen_at: Generated<Date>;
  /** Whether it can reach the other nodes, as it wrote then. */
  backplane_up: Generated<boolean>;
  /** The number of the batch of recorded rows that it wrote last: one that is repeated is not written twice. */
  last_batch: Generated<number>;
}

/** Every device that was ever seen, or was added by an operator. */
export interface DevicesTable {
  id: string;
  name: string | null;
  tags: Generated<string[]>;
  notes: Generated<string>;
  created_at: Generated<Date>;
  first_seen_at: Date | null;
  last_seen_at: Date | null;
  online: Generated<boolean>;
  /** Since when it is online or offline; null: never seen. */
  state_since: Date | null;
  /** Why it is offline. */
  offline_cause: string | null;
  /** The node it is, or was last, connected to. */
  node_id: string | null;
  address: string | null;
  agent_version: string | null;
  /** What it reported of itself in `hello`. */
  hello: Json<object | null> | null;
  /** Refused at every login and upgrade. */
  blocked: Generated<boolean>;
  /** Argon2id, in PHC format. Null: it logs in by a claim, or by the logins file. */
  password_hash: string | null;
}

/** When devices came and went. */
export interface ConnectionsTable {
  id: GeneratedAlways<number>;
  device_id: string;
  came_at: Date;
  went_at: Date | null;
  /** What ended it, as `DisconnectCause.type`. */
  cause: string | null;
  code: number | null;
  node_id: string;
  address: string;
}

/** The messages of the last days. */
export interface MessagesTable {
  id: GeneratedAlways<number>;
  device_id: string;
  at: Date;
  direction: 'up' | 'down';
  /** The event's name; null for other terms. */
  event: string | null;
  /** As `toJson` shows it, up to a limit. */
  body: Json<unknown>;
}

/** Numbers that devices report. */
export interface ReadingsTable {
  device_id: string;
  metric: string;
  at: Date;
  value: number;
}

/** The readings of a minute or an hour. */
export interface SummariesTable {
  device_id: string;
  metric: string;
  /** Its beginning. */
  at: Date;
  min: number;
  max: number;
  sum: number;
  count: number;
}

/** Minutes whose summaries are to be made again: readings came after them. */
export interface LateReadingsTable {
  device_id: string;
  metric: string;
  /** The beginning of the minute. */
  at: Date;
}

/** How far the upkeep has come. */
export interface UpkeepTable {
  job: 'summaries';
  done_until: Date;
}

/** As `RevocationStore` of the library keeps them. */
export interface RevocationsTable {
  /** As `textToColumn` writes it, in this table and those of deliveries. */
  device_id: string;
  generation: number;
  /** In ms since 1970: it may be deleted from then on, by the clock of the database. */
  until: number;
  /** In ms since 1970, by the clock of the database. */
  written_at: number;
}

/** Which deliveries of devices were handled, as `HandledStore` of the library keeps them. */
export interface DeliveryClaimsTable {
  endpoint: string;
  device_id: string;
  generation: number;
  /** By the number of the lane. */
  positions: Json<Readonly<Record<string, { readonly epoch: string; readonly seq: number }>>>;
}

/** What waits for devices, as `QueueStore` of the library keeps it. */
export interface DeliveryQueuesTable {
  endpoint: string;
  device_id: string;
  revision: number;
  /** In ms since 1970. */
  due_at: number;
  /** Of the type `json`, and not `jsonb`, which cannot hold every text. */
  queue: Json<DeviceQueue>;
}

/** The bytes of messages that wait for devices. */
export interface DeliveryMessagesTable {
  endpoint: string;
  device_id: string;
  name: string;
  body: Uint8Array;
  written_at: Generated<Date>;
}
