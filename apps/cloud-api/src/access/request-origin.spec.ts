import { isFromThisHost } from './request-origin.js';

describe('isFromThisHost', () => {
  it.each([
    ['https://fleet.example', 'fleet.example', true],
    ['https://fleet.example:8443', 'fleet.example:8443', true],
    ['https://fleet.example', 'Fleet.Example', true],
    ['http://[::1]:3000', '[::1]:3000', true],
    ['https://fleet.example:8443', 'fleet.example', false],
    ['https://fleet.example.evil', 'fleet.example', false],
    ['https://fleet.example@evil', 'fleet.example', false],
    ['null', 'fleet.example', false],
    ['', 'fleet.example', false],
    ['https://fleet.example', undefined, false],
  ])('compares the origin %j with the host %j: %j', (origin, host, expected) => {
    expect(isFromThisHost({ origin }, host)).toBe(expected);
  });

  it.each([
    ['same-origin', true],
    ['same-site', false],
    ['cross-site', false],
    ['none', false],
  ])('believes the browser that says %s, whatever the origin', (site, expected) => {
    const origin = 'https://fleet.example';
    expect(isFromThisHost({ 'sec-fetch-site': site, origin }, 'fleet.example')).toBe(expected);
    expect(isFromThisHost({ 'sec-fetch-site': site }, 'inside:3000')).toBe(expected);
  });

  it('does not know without both headers', () => {
    expect(isFromThisHost({}, 'fleet.example')).toBeUndefined();
  });
});
