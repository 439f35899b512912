import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { Injectable } from '@nestjs/common';
import { FedecksClient, OnConnected } from '@fedecks/nest/client-nest';
import { type Term, tuple } from '@fedecks/nest/wire';
import { ExecCommands } from './exec/exec-commands.js';
import { DeviceSettings } from './settings/device-settings.js';
import { VERSION } from './version.js';

/** Says once on each connection what runs on this device. */
@Injectable()
export class Hello {
  private readonly bootId = readBootId();

  constructor(
    private readonly client: FedecksClient,
    private readonly settings: DeviceSettings,
    private readonly exec: ExecCommands,
  ) {}

  @OnConnected()
  hello(): Term {
    const { outbox } = this.client;
    return tuple('hello', {
      version: VERSION,
      nodeVersion: process.version,
      bootId: this.bootId,
      uptimeS: Math.floor(uptime()),
      agentUptimeS: Math.floor(process.uptime()),
      settings: { ...this.settings.current },
      exec: this.exec.names,
      ...(outbox.state !== 'none' && { outbox: { ...outbox, losses: { ...outbox.losses } } }),
    });
  }
}

/** Identifies the boot of the machine; null where the system does not say it. */
function readBootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return null;
  }
}
