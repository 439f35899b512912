import { render } from 'preact';
import { App } from './app.js';
import './theme.css';

const root = document.getElementById('console');
if (!root) throw new Error('The page has no element with the id "console".');
render(<App />, root);
