"""Banner markup: the creative's own HTML, or a linked image, with click and impression tracking.

The rule kept here: a URL is escaped for where it stands. In a tag `&` becomes `&amp;`; in a script element it stays.
"""

from __future__ import annotations

from bidder.domain import Creative
from bidder.stages.markup.escaping import attribute, clean, is_script, json_parts, url, url_attribute
from bidder.stages.markup.notices import RAW_TRAIL, TRAIL, Notices

CLICK_MACRO = "${CLICK_URL}"
_PIXEL = '<img src="%s" width="1" height="1" style="display:none" alt="">'
_SCRIPT = '<script src="%s" async></script>'


class Banner:
    """The markup of one banner creative, ready but for the ids of the bid. `before` and `after`: JSON that it stands
    between, so that a bid's text is joined once."""

    __slots__ = ("_pieces",)

    def __init__(self, creative: Creative, notices: Notices | None, before: str = "", after: str = "") -> None:
        click = notices.click(redirect=True) if notices else url(creative.landing_url)
        body = _with_click(clean(creative.html), click) if creative.html else _linked_image(creative, click)
        template = _inside_body(body, _trackers(creative, notices))
        pieces = [list(json_parts(piece, TRAIL)) for piece in template.split(RAW_TRAIL)]
        pieces[0][0] = before + pieces[0][0]
        pieces[-1][-1] += after
        self._pieces = tuple(map(tuple, pieces))

    def render(self, trail: str) -> str:
        """The markup for one bid, as it stands within a JSON string, `before` and `after` around it. `trail`: see
        `notices.trail`."""
        in_tag, pieces = trail.replace("&", "&amp;"), self._pieces
        if len(pieces) == 1:  # no script with a URL of ours
            return in_tag.join(pieces[0])
        return trail.join(map(in_tag.join, pieces))


def _with_click(html: str, click: str) -> str:
    """`html` with the click macro replaced; whether a script element is open decides how `&` is written."""
    in_tag, in_script = url_attribute(click), click.replace(TRAIL, RAW_TRAIL)
    done, *rest = html.split(CLICK_MACRO)
    for piece in rest:
        before = done.lower()
        done += (in_script if before.rfind("<script") > before.rfind("</script") else in_tag) + piece
    return done


def _linked_image(creative: Creative, click: str) -> str:
    alt = attribute(creative.title)
    if creative.preview_url:
        spec = creative.spec
        size = f' width="{spec.width}" height="{spec.height}"' if spec.width and spec.height else ""
        shown = f'<img src="{url_attribute(url(creative.preview_url))}"{size} alt="{alt}" style="border:0">'
    else:
        shown = alt or url_attribute(url(creative.landing_url))
    return f'<a href="{url_attribute(click)}" target="_blank" rel="noopener">{shown}</a>'


def _trackers(creative: Creative, notices: Notices | None) -> str:
    urls = [url(tracker) for tracker in creative.impression_trackers]
    if notices:
        urls.append(notices.impression())
    return "".join([(_SCRIPT if is_script(each) else _PIXEL) % url_attribute(each) for each in urls])


def _inside_body(html: str, trackers: str) -> str:
    """`trackers` at the end, but inside the body where the creative is a whole document."""
    end = html.lower().rfind("</body")
    return html + trackers if end < 0 else html[:end] + trackers + html[end:]
