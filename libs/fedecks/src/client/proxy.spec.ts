import { proxyFromEnvironment } from './proxy.js';

describe('the proxy from the environment', () => {
  const PROXIES = { https_proxy: 'http://secure:1', http_proxy: 'http://plain:2', all_proxy: 'http://all:3' };

  it.each([
    ['none', {}, 'wss://a', undefined],
    ['https_proxy for wss', PROXIES, 'wss://a', 'http://secure:1'],
    ['http_proxy for ws', PROXIES, 'ws://a', 'http://plain:2'],
    ['all_proxy for the rest', { all_proxy: 'http://all:3' }, 'ws://a', 'http://all:3'],
    ['not https_proxy for ws', { https_proxy: 'http://secure:1' }, 'ws://a', undefined],
    ['upper case', { HTTPS_PROXY: 'http://upper:4' }, 'wss://a', 'http://upper:4'],
    ['lower case first', { HTTPS_PROXY: 'http://upper:4', ...PROXIES }, 'wss://a', 'http://secure:1'],
    ['what is empty as unset', { https_proxy: '', ALL_PROXY: 'http://all:3' }, 'wss://a', 'http://all:3'],
    ['http where no scheme is named', { https_proxy: 'proxy:3128' }, 'wss://a', 'http://proxy:3128'],
  ])('is selected: %s', (_what, env, url, proxy) => {
    expect(proxyFromEnvironment(env)(url)).toBe(proxy);
  });

  it.each([
    ['*', 'wss://cloud.example.com', true],
    ['cloud.example.com', 'wss://cloud.example.com', true],
    ['CLOUD.example.com', 'wss://cloud.example.COM', true],
    ['example.com', 'wss://cloud.example.com', true],
    ['.example.com', 'wss://cloud.example.com', true],
    ['*.example.com', 'wss://cloud.example.com', true],
    ['other.org, example.com', 'wss://cloud.example.com', true],
    ['other.org example.com', 'wss://cloud.example.com', true],
    ['example.com:443', 'wss://cloud.example.com', true],
    ['example.com:80', 'ws://cloud.example.com', true],
    ['example.com:8443', 'wss://cloud.example.com:8443', true],
    ['127.0.0.1', 'ws://127.0.0.1:3000', true],
    ['::1', 'ws://[::1]:3000', true],
    ['[::1]', 'ws://[::1]:3000', true],
    ['[::1]:3000', 'ws://[::1]:3000', true],
    ['[::1]:3001', 'ws://[::1]:3000', false],
    ['::2', 'ws://[::1]:3000', false],
    ['example.com:8443', 'wss://cloud.example.com', false],
    ['ample.com', 'wss://cloud.example.com', false],
    ['cloud.example.com.evil.org', 'wss://cloud.example.com', false],
    ['.', 'wss://cloud.example.com', false],
    [',', 'wss://cloud.example.com', false],
  ])('with no_proxy "%s", for %s: direct is %p', (no_proxy, url, direct) => {
    const env = { all_proxy: 'http://all:3' };
    expect(proxyFromEnvironment({ ...env, no_proxy })(url)).toBe(direct ? undefined : env.all_proxy);
    expect(proxyFromEnvironment({ ...env, NO_PROXY: no_proxy })(url)).toBe(
      direct ? undefined : env.all_proxy,
    );
  });

  it('is read again each time', () => {
    const env: Record<string, string> = {};
    const choice = proxyFromEnvironment(env);
    expect(choice('wss://a')).toBeUndefined();
    env['https_proxy'] = 'http://secure:1';
    expect(choice('wss://a')).toBe('http://secure:1');
  });
});
