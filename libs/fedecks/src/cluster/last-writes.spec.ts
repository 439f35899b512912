import { LastWrites } from './last-writes.js';

it('forgets the oldest when there are too many', () => {
  const writes = new LastWrites(2);
  writes.keep('a', 1);
  writes.keep('b', 2);
  writes.keep('a', 3);
  writes.keep('c', 4);
  expect(['a', 'b', 'c'].map((id) => writes.take(id))).toEqual([3, undefined, 4]);
});

it('returns each revision once', () => {
  const writes = new LastWrites(2);
  writes.keep('a', 1);
  expect([writes.take('a'), writes.take('a')]).toEqual([1, undefined]);
});
