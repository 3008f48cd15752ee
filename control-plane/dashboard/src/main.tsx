import { render } from 'solid-js/web';
import { App } from './app';
import { followHistory } from './router';
import './styles/index.css';

const root = document.getElementById('app');
if (root) {
  followHistory();
  render(() => <App />, root);
}
