import { type Role } from './api.js';

/** As the API describes them in openapi.json. Times are ISO 8601. */
export interface Device {
  readonly id: string;
  readonly name: string | null;
  readonly tags: readonly string[];
  readonly notes: string;
  readonly state: 'online' | 'offline' | 'never_seen';
  readonly stateSince: string | null;
  readonly offlineCause: string | null;
  readonly flapping: boolean;
  readonly firstSeen: string | null;
  readonly lastSeen: string | null;
  readonly address: string | null;
  readonly agentVersion: string | null;
  readonly nodeId: string | null;
  readonly blocked: boolean;
}

export interface DeviceDetail extends Device {
  readonly hello: unknown;
  readonly settings: unknown;
  readonly node: Node | null;
  readonly createdAt: string;
}

export interface Node {
  readonly id: string;
  readonly host: string;
  readonly startedAt: string;
  readonly seenAt: string;
}

export interface Overview {
  readonly devices: {
    readonly all: number;
    readonly online: number;
    readonly offline: number;
    readonly neverSeen: number;
    readonly flapping: number;
    readonly blocked: number;
  };
  readonly nodes: readonly ServingNode[];
  readonly lastHour: { readonly connects: number; readonly closes: Readonly<Record<string, number>> };
  readonly flapping: readonly { readonly id: string; readonly connects: number }[];
  readonly events: readonly FleetEvent[];
}

export interface ServingNode extends Node {
  readonly alive: boolean;
  readonly backplaneUp: boolean;
  readonly devices: number;
}

export interface FleetEvent {
  readonly at: string;
  readonly deviceId: string;
  readonly type: 'connected' | 'disconnected';
  readonly cause: string | null;
}

export interface Connection {
  readonly cameAt: string;
  readonly wentAt: string | null;
  readonly cause: string | null;
  readonly code: number | null;
  readonly address: string;
  readonly nodeId: string;
}

export interface Message {
  readonly at: string;
  readonly direction: 'up' | 'down';
  readonly event: string | null;
  readonly body: unknown;
}

export interface Metric {
  readonly metric: string;
  readonly value: number;
  readonly at: string;
}

export interface Readings {
  readonly metric: string;
  readonly step: number;
  readonly points: readonly {
    readonly at: string;
    readonly min: number;
    readonly avg: number;
    readonly max: number;
    readonly count: number;
  }[];
}

export interface Delivery {
  readonly id: string;
  readonly event: string;
  readonly key?: string;
  readonly state: 'queued' | 'sent' | 'done' | 'rejected' | 'expired' | 'cancelled';
  readonly attempts: number;
  readonly queuedAt: string;
  readonly finalAt?: string;
  readonly result?: unknown;
  readonly code?: string;
  readonly text?: string;
}

export interface Claim {
  readonly id: string;
  readonly deviceId: string | null;
  readonly tags: readonly string[];
  readonly state: 'open' | 'used' | 'expired';
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly usedAt: string | null;
  readonly usedBy: string | null;
}

export interface NewClaim {
  readonly id: string;
  readonly code: string;
  readonly deviceId: string | null;
  readonly expiresAt: string;
}

export interface Operator {
  readonly name: string;
  readonly role: Role;
  readonly createdAt: string;
}

export interface ApiKey {
  readonly name: string;
  readonly role: Role;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly lastUsedAt: string | null;
}

export interface AuditEntry {
  readonly id: number;
  readonly at: string;
  readonly actor: string;
  readonly address: string;
  readonly action: string;
  readonly target: string | null;
  readonly details: unknown;
  readonly status: number;
}

export interface BulkResult {
  /** How many devices are hit. */
  readonly selected: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failures: readonly { readonly id: string; readonly message: string }[];
}
