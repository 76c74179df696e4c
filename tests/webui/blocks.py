"""gradio as far as an extension may use it: what 3.41 (reForge) and 4.40 (Forge) both take."""

from types import ModuleType

_PLACE = {"visible", "elem_id", "elem_classes"}
_FIELD = _PLACE | {"value", "label", "info", "every", "show_label", "container", "scale"}
_FIELD |= {"min_width", "interactive"}
image_size = [0, 0]
"""Width and height of the image that the page shows."""

_open = []  # the layouts whose `with` has begun, outermost first


class Block:
    """One thing on a page; it hangs itself into the layout that is open."""

    takes = _PLACE
    order = ()
    """Names of the arguments that may come without their names."""

    def __init__(self, *values, **options):
        options = {**dict(zip(self.order, values, strict=False)), **options}
        strange = set(options) - self.takes
        if strange or len(values) > len(self.order):
            raise TypeError(f"{type(self).__name__} does not take {strange or values}")
        self.value = self.label = self.info = None
        self.visible, self.events, self.children = True, [], []
        vars(self).update(options)
        self.parent = _open[-1] if _open else None
        if self.parent is not None:
            self.parent.children.append(self)

    @property
    def shown(self):
        """Whether it and all around it are visible."""
        return self.visible and (self.parent is None or self.parent.shown)

    def happen(self):
        """Do to the page what follows when it was changed or pressed."""
        for fn, inputs, outputs, script in self.events:
            values = [item.value for item in inputs]
            if script:  # it puts the size of the page's image first
                values[:2] = image_size
            found = fn(*values)
            updates = found if len(outputs) > 1 else [found]
            for place, change in zip(outputs, updates, strict=True):
                if isinstance(change, dict):
                    vars(place).update({k: v for k, v in change.items() if k != "__type__"})
                else:
                    place.value = change

    def walk(self):
        """Yield it and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class Layout(Block):
    """What others stand in."""

    def __enter__(self):
        _open.append(self)
        return self

    def __exit__(self, *_):
        assert _open.pop() is self


class Blocks(Layout):
    """A page."""

    takes = _PLACE | {"analytics_enabled"}


class Row(Layout):
    takes = _PLACE | {"variant", "equal_height"}


class Column(Layout):
    takes = _PLACE | {"scale", "min_width", "variant"}


class Group(Layout):
    pass


class Accordion(Layout):
    takes, order = _PLACE | {"label", "open"}, ("label",)


class Markdown(Block):
    takes, order = _PLACE | {"value", "rtl", "latex_delimiters"}, ("value",)


class HTML(Block):
    takes, order = _PLACE | {"value", "label", "every", "show_label"}, ("value",)


class Field(Block):
    """A component whose value reaches a function."""

    takes, order = _FIELD, ("value",)

    def change(self, fn=None, inputs=None, outputs=None, show_progress=None, _js=None):
        """Call `fn` whenever the value changes."""
        if not _open:
            raise AttributeError("events belong into a page")
        self.events.append((fn, inputs, outputs, _js))

    def choose(self, value):
        """Change the value as a user does, and do to the page what follows."""
        self.value = value
        self.happen()


class Button(Block):
    """What a user presses."""

    takes, order = _PLACE | {"value", "variant", "size", "scale", "min_width"}, ("value",)
    click = Field.change


class Checkbox(Field):
    pass


class Textbox(Field):
    blur = Field.change
    takes = _FIELD | {"lines", "max_lines", "placeholder", "type", "autofocus", "text_align", "rtl"}


class Number(Field):
    takes = _FIELD | {"precision", "minimum", "maximum", "step"}


class Slider(Field):
    release = Field.change
    takes = _FIELD | {"minimum", "maximum", "step", "randomize"}
    order = ("minimum", "maximum", "value")


class Dropdown(Field):
    takes = _FIELD | {"choices", "type", "multiselect", "allow_custom_value", "max_choices"}
    order = ("choices",)


class InputAccordion(Checkbox):
    """The WebUI's accordion whose being open is a value."""

    def __init__(self, value=None, **options):
        super().__init__(value, **options)
        self.accordion = Accordion(options.get("label"), open=value)

    def __enter__(self):
        self.accordion.__enter__()
        return self

    def __exit__(self, *error):
        self.accordion.__exit__(*error)


def update(**changes):
    """Return what changes a component."""
    return {"__type__": "update", **changes}


def module(tell):
    """Return the stand-in for the module `gradio`, whose toasts `tell` gets; no layout is open."""
    _open.clear()
    image_size[:] = 0, 0
    made = ModuleType("gradio")
    kinds = (Blocks, Row, Column, Group, Accordion, Markdown, HTML)
    kinds += (Button, Checkbox, Textbox, Number, Slider, Dropdown)
    vars(made).update({kind.__name__: kind for kind in kinds}, update=update, Info=tell)
    return made
