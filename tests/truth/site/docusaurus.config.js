// Builds a copy of the sample book, as its author would publish it.
// BOOK_CONTENT is the folder with the Markdown; the default is the project's own.
import path from 'node:path';
import rehypeKatex from 'rehype-katex';
import remarkMath from 'remark-math';

const content = path.resolve(process.env.BOOK_CONTENT ?? '../../../content');

export default {
  title: 'Physical AI & Humanoid Robotics: a field guide',
  url: process.env.BOOK_SITE_URL ?? 'https://mrowaisabdullah.github.io',
  baseUrl: process.env.BOOK_BASE_URL ?? '/physical-ai-book/',
  onBrokenLinks: 'throw',
  onBrokenAnchors: 'throw',
  markdown: {mermaid: true, hooks: {onBrokenMarkdownLinks: 'throw'}},
  themes: ['@docusaurus/theme-mermaid'],
  presets: [
    [
      'classic',
      {
        docs: {
          path: content,
          routeBasePath: 'docs',
          remarkPlugins: [remarkMath],
          rehypePlugins: [rehypeKatex],
        },
        blog: false,
        theme: {customCss: 'node_modules/katex/dist/katex.min.css'},
      },
    ],
  ],
  themeConfig: {navbar: {title: 'Physical AI & Humanoid Robotics'}},
};
