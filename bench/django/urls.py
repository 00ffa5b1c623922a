from django.urls import path
from board.views import MessageView

urlpatterns = [path("api/messages", MessageView.as_view())]
