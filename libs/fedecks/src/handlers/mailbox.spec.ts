import { Mailbox } from './mailbox.js';

/** Work that is done when it is told so. */
function pending(): { work: () => Promise<void>; done: () => void; started: () => boolean } {
  let done!: () => void;
  let started = false;
  const promise = new Promise<void>((resolve) => (done = resolve));
  return {
    work: () => {
      started = true;
      return promise;
    },
    done,
    started: () => started,
  };
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Mailbox', () => {
  const calls: string[] = [];
  const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
  beforeEach(() => (calls.length = 0));

  it('does work that needs no waiting at once', () => {
    const mailbox = new Mailbox(2, source);
    const done: number[] = [];
    for (const each of [1, 2, 3]) {
      mailbox.take(() => {
        done.push(each);
        return undefined;
      });
    }
    expect(done).toEqual([1, 2, 3]);
    expect(calls).toEqual([]);
  });

  it('does one thing after another, in order', async () => {
    const mailbox = new Mailbox(10, source);
    const [first, second, third] = [pending(), pending(), pending()];
    for (const each of [first, second, third]) mailbox.take(each.work);
    expect([first.started(), second.started()]).toEqual([true, false]);
    first.done();
    await tick();
    expect([second.started(), third.started()]).toEqual([true, false]);
    second.done();
    await tick();
    expect(third.started()).toBe(true);
  });

  it('pauses its source once when as many wait as may, and resumes it when half are done', async () => {
    const mailbox = new Mailbox(4, source);
    const works = Array.from({ length: 7 }, pending);
    for (const each of works.slice(0, 4)) mailbox.take(each.work);
    expect(calls).toEqual([]);
    mailbox.take(works[4]!.work);
    expect(calls).toEqual(['pause']);
    mailbox.take(works[5]!.work);
    mailbox.take(works[6]!.work);
    expect(calls).toEqual(['pause']);
    for (const each of works.slice(0, 3)) {
      each.done();
      await tick();
      expect(calls).toEqual(['pause']);
    }
    works[3]!.done();
    await tick();
    expect(calls).toEqual(['pause', 'resume']);
  });
});
