// A book of Markdown pages with the assistant on every one of them.

const server = process.env.ASK_THE_BOOK_SERVER ?? "http://localhost:7860";
const baseUrl = "/humanoid-book/";

/** @type {import("@docusaurus/types").Config} */
export default {
  title: "A book",
  url: "https://example.github.io",
  baseUrl,
  onBrokenLinks: "warn",
  // A page ending in .md is Markdown, in .mdx it is MDX: braces in formulas are only braces.
  markdown: { format: "detect" },
  themes: ["@docusaurus/theme-classic"],
  plugins: [["@docusaurus/plugin-content-docs", { path: process.env.BOOK_CONTENT ?? "../../../content" }]],
  scripts: [
    {
      src: `${server}/widget.js`,
      defer: true,
      "data-title": "Ask the book",
      "data-site-root": baseUrl,
    },
  ],
  clientModules: ["./src/clientModules/ask-the-book.js"],
};
