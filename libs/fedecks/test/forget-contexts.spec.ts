import { AsyncLocalStorage } from 'node:async_hooks';
import { jest } from '@jest/globals';

it('disables, before the next test file, each AsyncLocalStorage that a test file has used', async () => {
  const storage = new AsyncLocalStorage<string>();
  await storage.run('left', async () => {
    expect(storage.getStore()).toBe('left');
    jest.resetModules();
    await import('./support/forget-contexts.js');
    expect(storage.getStore()).toBeUndefined();
  });
});
