"""Creates the models' tables directly; migrations would not change the measurement."""
import django

django.setup()

from django.db import connection  # noqa: E402
from board.models import Message, Sender  # noqa: E402

with connection.schema_editor() as editor:
    editor.create_model(Sender)
    editor.create_model(Message)
