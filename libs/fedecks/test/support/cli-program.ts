// The program `fedecks`, for tests that run it as a process.
import '../../src/cli/main.js';
