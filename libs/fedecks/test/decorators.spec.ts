import * as cloud from '@fedecks/nest';
import * as device from '@fedecks/nest/client-nest';
import * as handlers from '../src/handlers/decorators.js';
import { read } from './support/documents.js';

const decorators = Object.entries(handlers)
  .filter(([name, value]) => /^[A-Z]/.test(name) && typeof value === 'function')
  .map(([name]) => name);

describe('Every decorator', () => {
  it('is exported to a cloud, or has no meaning there', () => {
    expect(decorators.length).toBeGreaterThan(5);
    expect(decorators.filter((name) => !(name in cloud))).toEqual(['FromCloud']);
  });

  it('is exported to a device, or has no meaning there', () => {
    expect(decorators.filter((name) => !(name in device)).sort()).toEqual([
      'Device',
      'DeviceEndpoint',
      'OnRawMessage',
      'OnSocketError',
    ]);
  });

  it('is in the guide to handlers or endpoints', () => {
    const guide = ['handlers', 'endpoints']
      .map((name) => read(`libs/fedecks/docs/how-to/${name}.md`))
      .join('');
    expect(decorators.filter((name) => !new RegExp(`@${name}\\b`).test(guide))).toEqual([]);
  });
});
