from rest_framework import serializers, status
from rest_framework.response import Response
from rest_framework.views import APIView

from .models import Message, Sender


class MessageSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=200)
    email = serializers.EmailField(max_length=254)
    subject = serializers.CharField(max_length=200, required=False, allow_blank=True)
    message = serializers.CharField(max_length=10_000)

    def create(self, data):
        sender, _ = Sender.objects.get_or_create(email=data["email"], defaults={"name": data["name"]})
        return Message.objects.create(sender=sender, subject=data.get("subject", ""), message=data["message"])


class MessageView(APIView):
    def post(self, request):
        serializer = MessageSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        message = serializer.save()
        return Response({"id": message.id, "receivedAt": message.received_at}, status=status.HTTP_201_CREATED)
