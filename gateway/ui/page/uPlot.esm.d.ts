/** The gateway serves uPlot's own module beside the page's. */
export { default } from 'uplot';
