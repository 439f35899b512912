import { type Kysely, sql } from 'kysely';

/** All tables of the first version. */
export async function up(database: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(database);
}

const STATEMENTS = [
  `CREATE TABLE operators (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_at timestamptz NOT NULL DEFAULT now()
  )`,
  `CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY,
    operator_id uuid NOT NULL REFERENCES operators ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
  )`,
  'CREATE INDEX sessions_operator ON sessions (operator_id)',
  `CREATE TABLE setup_links (
    code_hash bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
  )`,
  `CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    key_hash bytea NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    last_used_at timestamptz
  )`,
  `CREATE TABLE claims (
    id uuid PRIMARY KEY,
    code_hash bytea NOT NULL UNIQUE,
    device_id text COLLATE "C",
    tags text[] NOT NULL DEFAULT '{}',
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    used_by text COLLATE "C",
    confirmed_at timestamptz
  )`,
  'CREATE INDEX claims_created ON claims (created_at DESC, id DESC)',
  'CREATE INDEX claims_device ON claims (device_id)',
  'CREATE INDEX claims_used_by ON claims (used_by)',
  `CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    actor_kind text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    target text,
    details jsonb,
    status integer NOT NULL
  )`,
  'CREATE INDEX audit_target ON audit (target, id DESC)',
  'CREATE INDEX audit_actor ON audit (actor, id DESC)',
  'CREATE INDEX audit_action ON audit (action, id DESC)',
  'CREATE INDEX audit_at ON audit (at)',
  `CREATE TABLE nodes (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    backplane_up boolean NOT NULL DEFAULT true,
    last_batch bigint NOT NULL DEFAULT 0
  )`,
  `CREATE TABLE devices (
    id text COLLATE "C" PRIMARY KEY,
    name text,
    tags text[] NOT NULL DEFAULT '{}',
    notes text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    first_seen_at timestamptz,
    last_seen_at timestamptz,
    online boolean NOT NULL DEFAULT false,
    state_since timestamptz,
    offline_cause text,
    node_id uuid,
    address text,
    agent_version text,
    hello jsonb,
    blocked boolean NOT NULL DEFAULT false,
    password_hash text
  )`,
  'CREATE INDEX devices_tags ON devices USING gin (tags)',
  'CREATE INDEX devices_last_seen ON devices (last_seen_at, id)',
  'CREATE INDEX devices_blocked ON devices (id) WHERE blocked',
  'CREATE INDEX devices_online ON devices (node_id) WHERE online',
  `CREATE TABLE connections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text COLLATE "C" NOT NULL,
    came_at timestamptz NOT NULL,
    went_at timestamptz,
    cause text,
    code integer,
    node_id uuid NOT NULL,
    address text NOT NULL
  )`,
  'CREATE UNIQUE INDEX connections_device ON connections (device_id, came_at, node_id)',
  'CREATE INDEX connections_came ON connections (came_at)',
  'CREATE INDEX connections_went ON connections (went_at)',
  'CREATE INDEX connections_open ON connections (node_id) WHERE went_at IS NULL',
  `CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    direction text NOT NULL CHECK (direction IN ('up', 'down')),
    event text,
    body jsonb NOT NULL
  )`,
  'CREATE INDEX messages_device ON messages (device_id, id DESC)',
  'CREATE INDEX messages_at ON messages (at)',
  `CREATE TABLE readings (
    device_id text COLLATE "C" NOT NULL,
    metric text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (device_id, metric, at)
  )`,
  // No BRIN: new readings take the places of deleted ones, so that the times of a page are far apart.
  'CREATE INDEX readings_at ON readings (at)',
  ...['readings_by_minute', 'readings_by_hour'].flatMap((name) => [
    `CREATE TABLE ${name} (
      device_id text COLLATE "C" NOT NULL,
      metric text COLLATE "C" NOT NULL,
      at timestamptz NOT NULL,
      min double precision NOT NULL,
      max double precision NOT NULL,
      sum double precision NOT NULL,
      count integer NOT NULL,
      PRIMARY KEY (device_id, metric, at)
    )`,
    `CREATE INDEX ${name}_at ON ${name} (at)`,
  ]),
  `CREATE TABLE late_readings (
    device_id text COLLATE "C" NOT NULL,
    metric text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (device_id, metric, at)
  )`,
  `CREATE TABLE upkeep (
    job text PRIMARY KEY,
    done_until timestamptz NOT NULL
  )`,
  `CREATE TABLE revocations (
    device_id text COLLATE "C" PRIMARY KEY,
    generation bigint NOT NULL,
    until bigint NOT NULL,
    written_at bigint NOT NULL
  )`,
  'CREATE INDEX revocations_written ON revocations (written_at, device_id)',
  'CREATE INDEX revocations_until ON revocations (until)',
  `CREATE TABLE delivery_claims (
    endpoint text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    positions jsonb NOT NULL,
    PRIMARY KEY (endpoint, device_id)
  )`,
  `CREATE TABLE delivery_queues (
    endpoint text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    due_at bigint NOT NULL,
    queue json NOT NULL,
    PRIMARY KEY (endpoint, device_id)
  )`,
  'CREATE INDEX delivery_queues_due ON delivery_queues (endpoint, due_at)',
  `CREATE TABLE delivery_messages (
    endpoint text COLLATE "C" NOT NULL,
    device_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (endpoint, device_id, name)
  )`,
  'CREATE INDEX delivery_messages_written ON delivery_messages USING brin (written_at)',
];
