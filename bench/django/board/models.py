from django.db import models


class Sender(models.Model):
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)


class Message(models.Model):
    sender = models.ForeignKey(Sender, on_delete=models.CASCADE, related_name="messages")
    subject = models.CharField(max_length=200, blank=True)
    message = models.TextField(max_length=10_000)
    received_at = models.DateTimeField(auto_now_add=True)
