import { Injectable } from '@nestjs/common';
import { DeviceId, Fedecks, OnMessage } from '@fedecks/nest';
import { startApp, type StartedApp } from './support/app.js';

@Injectable()
class Cellar {
  constructor(private readonly fedecks: Fedecks) {}

  @OnMessage('join')
  join(@DeviceId() id: string): boolean {
    return this.fedecks.joinGroup(id, 'cellar');
  }
}

describe('A group', () => {
  let app: StartedApp;
  beforeEach(async () => {
    app = await startApp({ providers: [Cellar] });
  });
  afterEach(() => app.close());

  it('has its members until their connections end, and reports nothing for those that have left', async () => {
    const member = await app.device('member');
    const other = await app.device('other');
    for (const device of [member, other]) {
      device.send('join', null);
      expect(await device.next()).toBe(true);
    }
    await app.fedecks.pushToGroup('cellar', 'to both');
    for (const device of [member, other]) expect(await device.next()).toBe('to both');

    await member.disconnect();
    await app.fedecks.pushToGroup('cellar', 'to the other');
    expect(await other.next()).toBe('to the other');
    expect(app.errors.size).toBe(0);

    const again = await app.device('member');
    await app.fedecks.pushToGroup('cellar', 'to the other');
    await app.fedecks.push('member', 'next');
    expect(await again.next()).toBe('next');
  });
});
