"""Makes the tables of the models; migrations would add nothing to what is measured."""
import django

django.setup()

from django.db import connection  # noqa: E402
from board.models import Message, Sender  # noqa: E402

with connection.schema_editor() as editor:
    editor.create_model(Sender)
    editor.create_model(Message)
