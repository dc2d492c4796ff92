// Elements are made and changed by these few functions, and text only ever becomes text: there is
// no way from text to markup anywhere, so a pool that is named like a tag shows as that name.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `el("p", {class: "note", on: {click}}, "text", child)`. null attributes are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(node, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  for (const [event, listener] of Object.entries(on)) node.addEventListener(event, listener);
  node.append(...children);
  return node;
}

/** Sets, or with null or false removes, an attribute; does nothing if that is how it is already. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** The text of an element that has nothing but text; the page is touched only if it differs. */
export function setText(node, text) {
  const value = String(text);
  if (node.firstChild === null) {
    if (value) node.append(value);
  } else if (node.firstChild.data !== value) {
    node.firstChild.data = value;
  }
}

export function byId(id) {
  return document.getElementById(id);
}
