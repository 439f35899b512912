import { HttpException, Injectable } from '@nestjs/common';
import { Counter } from 'prom-client';
import { CloudMetrics } from './cloud-metrics.js';

/** What a device logs in with; `other`: neither a claim nor a password. */
const DEVICE_KINDS = ['claim', 'password', 'other'] as const;
/** `limited`: refused unseen after too many that failed; `unavailable`: nobody knows whether it was right. */
const OUTCOMES = ['accepted', 'rejected', 'limited', 'unavailable'] as const;

export type DeviceLoginKind = (typeof DEVICE_KINDS)[number];
export type LoginOutcome = (typeof OUTCOMES)[number];

/** Counts logins of devices and of operators. Those of devices by token, the library counts. */
@Injectable()
export class LoginMetrics {
  private readonly devices: Counter<'kind' | 'outcome'>;
  private readonly operators: Counter<'outcome'>;

  constructor({ registry }: CloudMetrics) {
    const registers = [registry];
    this.devices = new Counter({
      name: 'cloud_device_logins_total',
      help: 'Logins of devices without a token, by kind and outcome.',
      labelNames: ['kind', 'outcome'],
      registers,
    });
    this.operators = new Counter({
      name: 'cloud_operator_logins_total',
      help: 'Passwords of operators that were checked, at logins and when operators change their own, by outcome.',
      labelNames: ['outcome'],
      registers,
    });
    // Prometheus sees no increase in the first value of a series.
    for (const outcome of OUTCOMES) {
      this.operators.inc({ outcome }, 0);
      for (const kind of DEVICE_KINDS) this.devices.inc({ kind, outcome }, 0);
    }
  }

  onDeviceLogin(kind: DeviceLoginKind, outcome: LoginOutcome): void {
    this.devices.inc({ kind, outcome });
  }

  onOperatorLogin(outcome: LoginOutcome): void {
    this.operators.inc({ outcome });
  }
}

/** The outcome of a login that has failed with this error. */
export function outcomeOfFailure(error: unknown): LoginOutcome {
  const status = error instanceof HttpException ? error.getStatus() : undefined;
  if (status === 401) return 'rejected';
  return status === 429 ? 'limited' : 'unavailable';
}
