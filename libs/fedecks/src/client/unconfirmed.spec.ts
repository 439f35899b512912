import { Unconfirmed } from './unconfirmed.js';

describe('Unconfirmed', () => {
  it('counts messages sent after the last confirmed ping', () => {
    const unconfirmed = new Unconfirmed();
    unconfirmed.onSent(10, 1);
    unconfirmed.onPing();
    unconfirmed.onSent(20, 1);
    unconfirmed.onSent(5, 0);
    expect(unconfirmed).toMatchObject({ bytes: 35, sentMessages: 2, confirmedMessages: 0 });
    unconfirmed.onPong();
    expect(unconfirmed).toMatchObject({ bytes: 25, sentMessages: 2, confirmedMessages: 1 });
    unconfirmed.onPing();
    unconfirmed.onPong();
    expect(unconfirmed).toMatchObject({ bytes: 0, confirmedMessages: 2 });
  });

  it('ignores an unsolicited pong', () => {
    const unconfirmed = new Unconfirmed();
    unconfirmed.onSent(10, 1);
    unconfirmed.onPong();
    expect(unconfirmed).toMatchObject({ bytes: 10, confirmedMessages: 0 });
  });

  it('remembers at most 1,000 pings, and never assigns a pong to a later one', () => {
    const unconfirmed = new Unconfirmed();
    for (let ping = 0; ping < 1_500; ping++) {
      unconfirmed.onSent(1, 1);
      unconfirmed.onPing();
    }
    for (let pong = 0; pong < 1_200; pong++) unconfirmed.onPong();
    expect(unconfirmed.confirmedMessages).toBe(1_000);
    unconfirmed.onSent(1, 1);
    unconfirmed.onPing();
    for (let pong = 0; pong < 301; pong++) unconfirmed.onPong();
    expect(unconfirmed.confirmedMessages).toBe(1_000);
    unconfirmed.onPing();
    unconfirmed.onPong();
    expect(unconfirmed.confirmedMessages).toBe(1_501);
  });
});
