// Imported before anything else: a Node that is too old would fail at some import, and print the program in place of a
// reason. So this file uses nothing that an old Node does not have.
const MIN_NODE = '20.19.0';

const HOW_TO_GET_ONE =
  'Debian 13 and Raspberry Pi OS 13 (trixie) have it: apt-get install nodejs. On older systems: ' +
  'https://nodejs.org/en/download (arm/v7: Node 20 or 22).';
const NO_BUILD = 'nodejs.org has no build of it for ARMv6 (Raspberry Pi 1, Zero and Zero W).';
/** As `EXIT.config`, which is not loaded yet: starting again does not help. */
const EX_CONFIG = 78;

if (!isNewEnough(process.versions.node)) {
  const { arm_version: armVersion } = process.config.variables as { readonly arm_version?: unknown };
  const isArmv6 = process.arch === 'arm' && String(armVersion) === '6';
  process.stderr.write(
    `device-agent: Node ${MIN_NODE} or later is required, but this is Node ${process.versions.node} (${process.execPath}). ` +
      `${isArmv6 ? NO_BUILD : HOW_TO_GET_ONE}\n`,
  );
  process.exit(EX_CONFIG);
}

function isNewEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [minMajor = 0, minMinor = 0] = MIN_NODE.split('.').map(Number);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}
