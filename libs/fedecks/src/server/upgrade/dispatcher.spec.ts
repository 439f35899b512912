import { createServer, type Server } from 'node:http';
import { type HttpAdapterHost } from '@nestjs/core';
import { Logger } from '@nestjs/common';
import { jest } from '@jest/globals';
import { type PathOwner, UpgradeDispatcher } from './dispatcher.js';

/** The parts of a Nest adapter that a dispatcher needs. */
class Adapter {
  readonly server = createServer();
  readonly calls: string[] = [];

  getHttpServer(): Server {
    return this.server;
  }

  async beforeClose(): Promise<void> {
    this.calls.push('beforeClose of the adapter');
  }
}

function owner(shutDown: () => Promise<void>): PathOwner {
  const ignored = (): void => undefined;
  return { upgrade: ignored, request: ignored, onListening: ignored, shutDown };
}

describe('UpgradeDispatcher', () => {
  beforeAll(() => {
    Logger.overrideLogger(false);
  });

  it("shuts its owners down once, in the adapter's beforeClose, after the adapter's own work", async () => {
    const adapter = new Adapter();
    const dispatcher = new UpgradeDispatcher({ httpAdapter: adapter } as unknown as HttpAdapterHost);
    dispatcher.claim(
      '/fedecks',
      owner(async () => void adapter.calls.push('shutDown of the owner')),
    );
    await adapter.beforeClose();
    await dispatcher.onModuleDestroy();
    expect(adapter.calls).toEqual(['beforeClose of the adapter', 'shutDown of the owner']);
  });

  it('closes the app and the other endpoints when one endpoint fails to shut down', async () => {
    const adapter = new Adapter();
    const dispatcher = new UpgradeDispatcher({ httpAdapter: adapter } as unknown as HttpAdapterHost);
    const other = jest.fn<() => Promise<void>>().mockResolvedValue();
    dispatcher.claim(
      '/fedecks',
      owner(() => Promise.reject(new Error('the backplane is gone'))),
    );
    dispatcher.claim('/other', owner(other));
    await expect(adapter.beforeClose()).resolves.toBeUndefined();
    expect(other).toHaveBeenCalledTimes(1);
  });
});
