import { jest } from '@jest/globals';
import { Pacer } from './pacer.js';

/** A connection whose pongs the test controls. */
class Connection {
  sent = 0;
  confirmed = 0;
  pings = 0;
  private readonly pacer: Pacer;

  constructor(framesPerSecond: number | undefined) {
    this.pacer = new Pacer(framesPerSecond, {
      ping: () => {
        this.pings++;
      },
      sentMessages: () => this.sent,
      confirmedMessages: () => this.confirmed,
    });
  }

  send(messages: number): void {
    for (let message = 0; message < messages; message++)
      this.pacer.send(() => {
        this.sent++;
      });
  }

  pong(): void {
    this.confirmed = this.sent;
    this.pacer.onPong();
  }

  end(): void {
    this.pacer.end();
  }
}

describe('Pacer (§1.9)', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('sends everything at once without a limit', () => {
    const connection = new Connection(undefined);
    connection.send(100_000);
    expect(connection).toMatchObject({ sent: 100_000, pings: 0 });
  });

  it('sends half of the limit less two, and continues after one second and a pong', () => {
    const connection = new Connection(100);
    connection.send(1_000);
    expect(connection).toMatchObject({ sent: 48, pings: 1 });
    connection.pong();
    expect(connection.sent).toBe(48);
    jest.advanceTimersByTime(1_000);
    expect(connection).toMatchObject({ sent: 96, pings: 2 });
    jest.advanceTimersByTime(60_000);
    expect(connection.sent).toBe(96);
    connection.pong();
    expect(connection.sent).toBe(144);
    connection.end();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('does not delay a device that sends less', () => {
    const connection = new Connection(100);
    for (let second = 1; second <= 10; second++) {
      connection.send(40);
      connection.pong();
      expect(connection.sent).toBe(40 * second);
      jest.advanceTimersByTime(1_000);
    }
  });

  it('lets at most half of the limit arrive at once, however long the link stalls', () => {
    const connection = new Connection(100);
    connection.send(10_000);
    for (let round = 0; round < 50; round++) {
      jest.advanceTimersByTime(10_000);
      const [messages, pings] = [connection.sent - connection.confirmed, connection.pings];
      expect(messages).toBe(48);
      connection.pong();
      expect(connection.pings - pings).toBe(1);
    }
    connection.end();
  });

  it('sends no pings when the limit is very low', () => {
    const connection = new Connection(2);
    connection.send(3);
    expect(connection).toMatchObject({ sent: 1, pings: 0 });
    jest.advanceTimersByTime(2_000);
    expect(connection).toMatchObject({ sent: 3, pings: 0 });
    connection.end();
  });

  it('passes all queued messages to an ended connection, where they fail, and leaves no timer', () => {
    const connection = new Connection(100);
    connection.send(1_000);
    connection.pong();
    connection.end();
    expect(connection.sent).toBe(1_000);
    expect(jest.getTimerCount()).toBe(0);
  });
});
